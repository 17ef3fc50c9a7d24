"""Freshservice API 2: tickets of a requester, tags that are filtered by, private notes among the conversations."""

import re
from typing import Any, ClassVar

from starlette.requests import Request

from tests.stand_ins.desk import Answer, Desk, Refused, Ticket, basic, only

TAGGED = re.compile(r"\"tag:'([^']*)'\"")
MARK = re.compile(r"<[^<>]*>")


class Freshservice(Desk):
    system = "freshservice"
    base_path = "/api/v2"
    credentials: ClassVar = {"api_key": "a-key"}
    map: ClassVar = {"requester_email": "security@msp.example", "priority": {"SEV1": 4, "default": 2}}
    open_status, working_status, closed_status = 2, 3, 5

    @property
    def base_url(self) -> str:
        return self.url

    def authorise(self, request: Request) -> None:
        basic(request, "a-key", "X")

    def routes(self) -> list[tuple[str, str, Answer]]:
        return [
            ("GET", "/tickets/filter", self.filtered),
            ("GET", "/tickets", self.listed),
            ("POST", "/tickets", self.create),
            ("GET", "/tickets/{id}", self.read),
            ("PUT", "/tickets/{id}", self.update),
            ("POST", "/tickets/{id}/notes", self.add_note),
            ("GET", "/tickets/{id}/conversations", self.conversations),
        ]

    async def listed(self, request: Request, given: Any) -> Any:
        return {"tickets": []}

    async def filtered(self, request: Request, given: Any) -> Any:
        found = TAGGED.fullmatch(request.query_params["query"])
        if found is None:
            raise Refused(400, "query")
        ours = [one for one in self.tickets.values() if found[1] in one.fields["tags"]]
        return {"tickets": [self._shown(one) for one in reversed(ours)]}

    async def create(self, request: Request, given: Any) -> Any:
        names = "subject description email status priority department_id group_id workspace_id category tags"
        fields = only(given, *names.split(), needed=("subject", "description", "email", "status", "priority"))
        if fields["priority"] not in (1, 2, 3, 4):
            raise Refused(400, "priority")
        made = self.add(fields)
        self.note(made, MARK.sub("\n", fields["description"]), "agent")
        return {"ticket": self._shown(made)}

    async def read(self, request: Request, given: Any) -> Any:
        return {"ticket": self._shown(self.find(request.path_params["id"]))}

    async def update(self, request: Request, given: Any) -> Any:
        ticket = self.find(request.path_params["id"])
        if only(given, "status", needed=("status",))["status"] not in (2, 3, 4, 5):
            raise Refused(400, "status")
        ticket.fields["status"] = given["status"]
        return {"ticket": self._shown(ticket)}

    async def add_note(self, request: Request, given: Any) -> Any:
        fields = only(given, "body", "private", needed=("body",))
        made = self.note(self.find(request.path_params["id"]), MARK.sub("\n", fields["body"]), "agent")
        return {"conversation": {"id": made.id, "body": fields["body"], "user_id": 9}}

    async def conversations(self, request: Request, given: Any) -> Any:
        notes = self.find(request.path_params["id"]).notes
        return {"conversations": [{"id": one.id, "body_text": one.text, "user_id": 9} for one in notes]}

    def _shown(self, ticket: Ticket) -> dict[str, Any]:
        return {"id": ticket.id, **ticket.fields}

    def title(self, ticket: Ticket) -> str:
        return str(ticket.fields["subject"])

    def status(self, ticket: Ticket) -> Any:
        return ticket.fields["status"]

    def set_status(self, ticket: Ticket, status: Any) -> None:
        ticket.fields["status"] = status
