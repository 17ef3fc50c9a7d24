"""HaloPSA REST API: lists go in and one object comes out; a token of the client credentials opens it."""

from typing import Any, ClassVar

from starlette.requests import Request

from tests.stand_ins.desk import Answer, Desk, Note, Refused, Ticket, only


class HaloPsa(Desk):
    system = "halopsa"
    credentials: ClassVar = {"client_id": "an-app", "client_secret": "a-secret", "tenant": "acme"}
    map: ClassVar = {"tickettype_id": 1, "client_id": "12", "priority_id": {"SEV1": 1, "default": 3}}
    account = "Holdfast Agent"
    open_status, working_status, closed_status = 2, 23, 9

    def __init__(self) -> None:
        super().__init__()
        self.tokens = 0

    def authorise(self, request: Request) -> None:
        if request.url.path == "/auth/token":
            return
        if request.headers.get("authorization") != f"Bearer token-{self.tokens}":
            raise Refused(401, "the token is not good")

    def routes(self) -> list[tuple[str, str, Answer]]:
        return [
            ("POST", "/auth/token", self.token),
            ("GET", "/api/Agent/me", self.me),
            ("GET", "/api/Tickets", self.listed),
            ("POST", "/api/Tickets", self.write),
            ("GET", "/api/Tickets/{id}", self.read),
            ("GET", "/api/Actions", self.actions),
            ("POST", "/api/Actions", self.act),
        ]

    async def token(self, request: Request, given: Any) -> Any:
        form = dict(await request.form())
        wanted = {
            "grant_type": "client_credentials",
            "client_id": "an-app",
            "client_secret": "a-secret",
            "scope": "all",
        }
        if form != wanted or request.query_params.get("tenant") != "acme":
            raise Refused(400, "invalid_client")
        self.tokens += 1
        return {"access_token": f"token-{self.tokens}", "expires_in": 3600, "token_type": "Bearer"}

    async def me(self, request: Request, given: Any) -> Any:
        return {"id": 7, "name": self.account}

    async def listed(self, request: Request, given: Any) -> Any:
        wanted = request.query_params["search"]
        found = [one for one in reversed(self.tickets.values()) if wanted in one.fields["summary"]]
        return {"record_count": len(found), "tickets": [self._shown(one) for one in found]}

    async def write(self, request: Request, given: Any) -> Any:
        if not isinstance(given, list) or len(given) != 1:
            raise Refused(400, "a list is needed")
        names = "id summary details client_id site_id tickettype_id priority_id team status_id"
        fields = only(given[0], *names.split())
        for name in fields.keys() & {"id", "client_id", "site_id", "tickettype_id", "priority_id", "status_id"}:
            if type(fields[name]) is not int:
                raise Refused(400, f"{name} is a number")
        if "id" in fields:
            ticket = self.find(str(fields.pop("id")))
            ticket.fields |= fields
            return self._shown(ticket)
        if "summary" not in fields:
            raise Refused(400, "a summary is needed")
        made = self.add({"status_id": 1, **fields})
        self.note(made, fields.get("details", ""), self.account)
        return self._shown(made)

    async def read(self, request: Request, given: Any) -> Any:
        return self._shown(self.find(request.path_params["id"]))

    async def actions(self, request: Request, given: Any) -> Any:
        notes = self.find(request.query_params["ticket_id"]).notes
        return {"record_count": len(notes), "actions": [self._action(one) for one in reversed(notes)]}

    async def act(self, request: Request, given: Any) -> Any:
        names = ("ticket_id", "note", "outcome", "hiddenfromuser")
        fields = only(given[0], *names, needed=("ticket_id", "note", "outcome"))
        return self._action(self.note(self.find(str(fields["ticket_id"])), fields["note"], self.account))

    def _action(self, note: Note) -> dict[str, Any]:
        return {"id": note.id, "note": note.text, "who": note.author}

    def _shown(self, ticket: Ticket) -> dict[str, Any]:
        return {"id": ticket.id, **ticket.fields, "hasbeenclosed": False}

    def title(self, ticket: Ticket) -> str:
        return str(ticket.fields["summary"])

    def status(self, ticket: Ticket) -> Any:
        return ticket.fields["status_id"]

    def set_status(self, ticket: Ticket, status: Any) -> None:
        ticket.fields["status_id"] = status
