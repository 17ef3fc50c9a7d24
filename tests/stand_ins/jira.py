"""Jira Cloud REST API 3: texts are documents, a status is reached by a transition, labels are searched."""

import re
from typing import Any, ClassVar

from starlette.requests import Request

from tests.stand_ins.desk import Answer, Desk, Note, Refused, Ticket, basic, only

JQL = re.compile(r'labels = "([^"]*)" ORDER BY created DESC')
CATEGORIES = {"To Do": "new", "In Progress": "indeterminate", "Waiting": "indeterminate", "Done": "done"}
ACCOUNT = "5b10a2844c20165700ede21g"


class Jira(Desk):
    system = "jira"
    credentials: ClassVar = {"email": "bot@msp.example", "api_token": "an-api-token"}
    map: ClassVar = {"project": "SEC", "type": "Task"}
    open_status, working_status, closed_status = "In Progress", "Waiting", "Done"

    def authorise(self, request: Request) -> None:
        basic(request, self.credentials["email"], self.credentials["api_token"])

    def routes(self) -> list[tuple[str, str, Answer]]:
        issue = "/rest/api/3/issue"
        return [
            ("GET", "/rest/api/3/myself", self.myself),
            ("GET", "/rest/api/3/search/jql", self.search),
            ("POST", issue, self.create),
            ("GET", f"{issue}/{{id}}", self.read),
            ("GET", f"{issue}/{{id}}/comment", self.comments),
            ("POST", f"{issue}/{{id}}/comment", self.comment),
            ("GET", f"{issue}/{{id}}/transitions", self.transitions),
            ("POST", f"{issue}/{{id}}/transitions", self.transition),
        ]

    async def myself(self, request: Request, given: Any) -> Any:
        return {"accountId": ACCOUNT, "displayName": "Bot"}

    async def search(self, request: Request, given: Any) -> Any:
        found = JQL.fullmatch(request.query_params["jql"])
        if found is None:
            raise Refused(400, "jql")
        ours = [one for one in self.tickets.values() if found[1] in one.fields["labels"]]
        return {"issues": [self._shown(one) for one in reversed(ours)], "isLast": True}

    async def create(self, request: Request, given: Any) -> Any:
        names = ("project", "issuetype", "priority", "summary", "description", "labels")
        fields = only(only(given, "fields", needed=("fields",))["fields"], *names, needed=names[:2])
        if fields["project"] != {"key": "SEC"} or "name" not in fields["issuetype"] or "\n" in fields["summary"]:
            raise Refused(400, "fields")
        made = self.add({"status": "To Do", **fields})
        self.note(made, self._text(fields["description"]), ACCOUNT)
        return {"id": str(made.id), "key": f"SEC-{made.id}", "self": f"{self.url}/rest/api/3/issue/{made.id}"}

    async def read(self, request: Request, given: Any) -> Any:
        return self._shown(self.find(request.path_params["id"]))

    async def comments(self, request: Request, given: Any) -> Any:
        notes = self.find(request.path_params["id"]).notes
        return {"comments": [self._comment(one) for one in reversed(notes)], "total": len(notes)}

    async def comment(self, request: Request, given: Any) -> Any:
        only(given, "body", "properties", needed=("body",))
        return self._comment(self.note(self.find(request.path_params["id"]), self._text(given["body"]), ACCOUNT))

    async def transitions(self, request: Request, given: Any) -> Any:
        self.find(request.path_params["id"])
        return {
            "transitions": [
                {"id": str(n), "name": f"To {name}", "to": {"name": name}} for n, name in enumerate(CATEGORIES, 11)
            ]
        }

    async def transition(self, request: Request, given: Any) -> Any:
        wanted = only(only(given, "transition")["transition"], "id")["id"]
        names = {str(n): name for n, name in enumerate(CATEGORIES, 11)}
        if wanted not in names:
            raise Refused(400, "no such transition")
        self.find(request.path_params["id"]).fields["status"] = names[wanted]

    def _text(self, document: Any) -> str:
        only(document, "type", "version", "content", needed=("type", "version", "content"))
        pieces = [piece["text"] for part in document["content"] for piece in part["content"]]
        if "" in pieces or any("\n" in piece for piece in pieces):
            raise Refused(400, "INVALID_INPUT")  # a piece of text is neither empty nor of several lines
        return "\n".join(pieces)

    def _comment(self, note: Note) -> dict[str, Any]:
        content = [{"type": "paragraph", "content": [{"type": "text", "text": note.text}]}]
        author = {"accountId": note.author}
        return {"id": str(note.id), "author": author, "body": {"type": "doc", "version": 1, "content": content}}

    def _shown(self, ticket: Ticket) -> dict[str, Any]:
        name = ticket.fields["status"]
        status = {"name": name, "statusCategory": {"key": CATEGORIES[name]}}
        return {"id": str(ticket.id), "key": f"SEC-{ticket.id}", "fields": {"status": status}}

    def title(self, ticket: Ticket) -> str:
        return str(ticket.fields["summary"])

    def status(self, ticket: Ticket) -> Any:
        return ticket.fields["status"]

    def set_status(self, ticket: Ticket, status: Any) -> None:
        ticket.fields["status"] = status
