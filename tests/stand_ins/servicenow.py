"""ServiceNow Table API: records of `incident` under a sys_id, encoded queries, work notes in the journal."""

import hashlib
import re
from typing import Any, ClassVar

from starlette.requests import Request

from tests.stand_ins.desk import Answer, Desk, Refused, Ticket, basic, only

CORRELATED = re.compile(r"correlation_id=([^^]+)\^ORDERBYDESCsys_created_on")
NOTED = re.compile(r"element_id=([^^]+)\^element=work_notes\^valueLIKE(.+)")
STATES = ("1", "2", "3", "6", "7", "8")


class ServiceNow(Desk):
    system = "servicenow"
    credentials: ClassVar = {"user": "holdfast", "password": "a-password"}
    map: ClassVar = {"assignment_group": "Security", "impact": 2, "close_code": "Resolved by request"}
    open_status, working_status, closed_status = "2", "3", "7"

    def authorise(self, request: Request) -> None:
        basic(request, "holdfast", "a-password")

    def routes(self) -> list[tuple[str, str, Answer]]:
        table = "/api/now/table/incident"
        return [
            ("GET", table, self.listed),
            ("POST", table, self.create),
            ("GET", f"{table}/{{id}}", self.read),
            ("PATCH", f"{table}/{{id}}", self.patch),
            ("GET", "/api/now/table/sys_journal_field", self.journal),
        ]

    async def listed(self, request: Request, given: Any) -> Any:
        query = request.query_params.get("sysparm_query")
        if query is None:
            return {"result": [self._shown(one) for one in list(self.tickets.values())[:1]]}
        found = CORRELATED.fullmatch(query)
        if found is None:
            raise Refused(400, "sysparm_query")
        ours = [one for one in self.tickets.values() if one.fields["correlation_id"] == found[1]]
        return {"result": [self._shown(one) for one in reversed(ours)]}

    async def create(self, request: Request, given: Any) -> Any:
        names = "short_description description correlation_id correlation_display company caller_id assignment_group"
        fields = only(given, *names.split(), "category", "impact", "urgency", needed=("short_description",))
        made = self.add({"state": "1", **fields})
        self.tickets[self._sys_id(made)] = self.tickets.pop(str(made.id))
        self.note(made, fields["description"], "holdfast")
        return {"result": self._shown(made)}

    async def read(self, request: Request, given: Any) -> Any:
        return {"result": self._shown(self.find(request.path_params["id"]))}

    async def patch(self, request: Request, given: Any) -> Any:
        ticket = self.find(request.path_params["id"])
        fields = only(given, "work_notes", "state", "close_code", "close_notes")
        if "state" in fields:
            if fields["state"] not in STATES:
                raise Refused(400, "state")
            if fields["state"] in ("6", "7") and not (fields.get("close_code") and fields.get("close_notes")):
                raise Refused(403, "close_code and close_notes are mandatory")
            ticket.fields["state"] = fields["state"]
        if "work_notes" in fields:
            self.note(ticket, fields["work_notes"], "holdfast")
        return {"result": self._shown(ticket)}

    async def journal(self, request: Request, given: Any) -> Any:
        found = NOTED.fullmatch(request.query_params["sysparm_query"])
        if found is None:
            raise Refused(400, "sysparm_query")
        notes = [one for one in self.find(found[1]).notes if found[2] in one.text]
        return {"result": [{"sys_id": str(one.id)} for one in notes]}

    def _sys_id(self, ticket: Ticket) -> str:
        return hashlib.md5(str(ticket.id).encode()).hexdigest()

    def _shown(self, ticket: Ticket) -> dict[str, Any]:
        number = f"INC{ticket.id:07}"
        shown = {"sys_id": self._sys_id(ticket), "number": number, "state": ticket.fields["state"]}
        return {**shown, "sys_updated_by": "holdfast"}

    def title(self, ticket: Ticket) -> str:
        return str(ticket.fields["short_description"])

    def status(self, ticket: Ticket) -> Any:
        return ticket.fields["state"]

    def set_status(self, ticket: Ticket, status: Any) -> None:
        ticket.fields["state"] = status
