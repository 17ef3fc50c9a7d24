"""Zendesk Support API 2: tickets with an external id; notes are comments of an update; what is closed stays closed."""

from typing import Any, ClassVar

from starlette.requests import Request

from tests.stand_ins.desk import Answer, Desk, Refused, Ticket, basic, only

STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
AGENT = 35436


class Zendesk(Desk):
    system = "zendesk"
    credentials: ClassVar = {"email": "bot@msp.example", "api_token": "an-api-token"}
    map: ClassVar = {"group_id": 98738, "priority": {"SEV1": "urgent", "default": "normal"}}
    open_status, working_status, closed_status = "open", "pending", "solved"

    def authorise(self, request: Request) -> None:
        basic(request, f"{self.credentials['email']}/token", self.credentials["api_token"])

    def routes(self) -> list[tuple[str, str, Answer]]:
        return [
            ("GET", "/api/v2/users/me.json", self.me),
            ("GET", "/api/v2/tickets.json", self.listed),
            ("POST", "/api/v2/tickets.json", self.create),
            ("GET", "/api/v2/tickets/{id}.json", self.read),
            ("PUT", "/api/v2/tickets/{id}.json", self.update),
            ("GET", "/api/v2/tickets/{id}/comments.json", self.comments),
        ]

    async def me(self, request: Request, given: Any) -> Any:
        return {"user": {"id": AGENT, "name": "Bot", "role": "agent"}}

    async def listed(self, request: Request, given: Any) -> Any:
        wanted = request.query_params["external_id"]
        return {"tickets": [self._shown(one) for one in self.tickets.values() if one.fields["external_id"] == wanted]}

    async def create(self, request: Request, given: Any) -> Any:
        names = "subject comment external_id organization_id group_id ticket_form_id type priority"
        fields = only(only(given, "ticket", needed=("ticket",))["ticket"], *names.split(), needed=("comment",))
        comment = only(fields["comment"], "body", "public", needed=("body",))
        if fields.get("priority", "normal") not in ("urgent", "high", "normal", "low"):
            raise Refused(422, "priority")
        made = self.add({"status": "new", "external_id": None, **fields})
        self.note(made, comment["body"], str(AGENT))
        return {"ticket": self._shown(made)}

    async def read(self, request: Request, given: Any) -> Any:
        return {"ticket": self._shown(self.find(request.path_params["id"]))}

    async def update(self, request: Request, given: Any) -> Any:
        ticket = self.find(request.path_params["id"])
        fields = only(given["ticket"], "status", "comment")
        if ticket.fields["status"] == "closed":
            raise Refused(422, "closed prevents ticket update")
        if "status" in fields:
            if fields["status"] not in STATUSES:
                raise Refused(422, "status")
            ticket.fields["status"] = fields["status"]
        audit = {"id": 1, "author_id": AGENT}
        if "comment" in fields:
            body = only(fields["comment"], "body", "public", needed=("body",))["body"]
            audit["id"] = self.note(ticket, body, str(AGENT)).id
        return {"ticket": self._shown(ticket), "audit": audit}

    async def comments(self, request: Request, given: Any) -> Any:
        notes = self.find(request.path_params["id"]).notes
        return {"comments": [{"id": one.id, "body": one.text, "author_id": AGENT} for one in reversed(notes)]}

    def _shown(self, ticket: Ticket) -> dict[str, Any]:
        return {"id": ticket.id, "url": f"{self.url}/api/v2/tickets/{ticket.id}.json", **ticket.fields}

    def title(self, ticket: Ticket) -> str:
        return str(ticket.fields["subject"])

    def status(self, ticket: Ticket) -> Any:
        return ticket.fields["status"]

    def set_status(self, ticket: Ticket, status: Any) -> None:
        ticket.fields["status"] = status
