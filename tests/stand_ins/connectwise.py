"""ConnectWise PSA REST API 3.0: service tickets, conditions over one field, JSON Patch, notes below their ticket."""

import re
from typing import Any, ClassVar

from starlette.requests import Request

from tests.stand_ins.desk import Answer, Desk, Note, Refused, Ticket, basic, only

STATUSES = {"New": False, "In Progress": False, "Waiting": False, ">Closed": True}
CONDITION = re.compile(r'externalXRef="([^"]*)"')


class ConnectWise(Desk):
    system = "connectwise"
    base_path = "/v4_6_release/apis/3.0"
    credentials: ClassVar = {"company_id": "acme", "public_key": "pub", "private_key": "priv", "client_id": "a-client"}
    map: ClassVar = {"board": "Help Desk", "company": "ExampleClient", "priority": {"default": "Priority 2 - High"}}
    account = "holdfast"
    open_status, working_status, closed_status = "In Progress", "Waiting", ">Closed"

    def authorise(self, request: Request) -> None:
        basic(request, "acme+pub", "priv")
        if request.headers.get("clientid") != "a-client":
            raise Refused(401, "clientId is missing")

    def routes(self) -> list[tuple[str, str, Answer]]:
        return [
            ("GET", "/system/info", self.info),
            ("GET", "/service/tickets", self.listed),
            ("POST", "/service/tickets", self.create),
            ("GET", "/service/tickets/{id}", self.read),
            ("PATCH", "/service/tickets/{id}", self.patch),
            ("GET", "/service/tickets/{id}/notes", self.notes),
            ("POST", "/service/tickets/{id}/notes", self.add_note),
        ]

    async def info(self, request: Request, given: Any) -> Any:
        return {"version": "v2026.1", "isCloud": True}

    async def listed(self, request: Request, given: Any) -> Any:
        found = CONDITION.fullmatch(request.query_params["conditions"])
        if found is None:
            raise Refused(400, "conditions")
        ours = [one for one in self.tickets.values() if one.fields.get("externalXRef") == found[1]]
        return [self._shown(one) for one in reversed(ours)]

    async def create(self, request: Request, given: Any) -> Any:
        names = "summary initialInternalAnalysis externalXRef company board type subType priority status team"
        fields = only(given, *names.split(), needed=("summary", "company"))
        only(fields["company"], "identifier", needed=("identifier",))
        for name in ("board", "type", "subType", "priority", "status", "team"):
            only(fields.get(name, {}), "name")
        if len(fields["summary"]) > 100:
            raise Refused(400, "summary is longer than 100")
        made = self.add({"status": {"name": "New"}, **fields})
        self.note(made, fields.get("initialInternalAnalysis", ""), self.account)
        return self._shown(made)

    async def read(self, request: Request, given: Any) -> Any:
        return self._shown(self.find(request.path_params["id"]))

    async def patch(self, request: Request, given: Any) -> Any:
        ticket = self.find(request.path_params["id"])
        for one in given:
            only(one, "op", "path", "value", needed=("op", "path", "value"))
            if one["op"] != "replace" or one["path"] != "status" or one["value"].get("name") not in STATUSES:
                raise Refused(400, "no such status")
            ticket.fields["status"] = one["value"]
        return self._shown(ticket)

    async def notes(self, request: Request, given: Any) -> Any:
        notes = self.find(request.path_params["id"]).notes
        is_newest_first = request.query_params.get("orderBy") == "id desc"
        return [self._note(one) for one in (reversed(notes) if is_newest_first else notes)]

    async def add_note(self, request: Request, given: Any) -> Any:
        ticket = self.find(request.path_params["id"])
        flags = ("internalAnalysisFlag", "detailDescriptionFlag", "resolutionFlag")
        only(given, "text", *flags, needed=("text",))
        if not any(given.get(flag) for flag in flags):
            raise Refused(400, "one of the flags is needed")
        return self._note(self.note(ticket, given["text"], self.account))

    def _note(self, note: Note) -> dict[str, Any]:
        return {"id": note.id, "text": note.text, "createdBy": note.author, "internalAnalysisFlag": True}

    def _shown(self, ticket: Ticket) -> dict[str, Any]:
        about = {"enteredBy": self.account, "updatedBy": self.account}
        return {"id": ticket.id, **ticket.fields, "closedFlag": STATUSES[self.status(ticket)], "_info": about}

    def title(self, ticket: Ticket) -> str:
        return str(ticket.fields["summary"])

    def status(self, ticket: Ticket) -> Any:
        return ticket.fields["status"]["name"]

    def set_status(self, ticket: Ticket, status: Any) -> None:
        ticket.fields["status"] = {"name": status}
