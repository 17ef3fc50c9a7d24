"""Autotask PSA REST API 1.0: entities with numbers for everything, queries of filters, notes as children."""

from typing import Any, ClassVar

from starlette.requests import Request

from tests.stand_ins.desk import Answer, Desk, Refused, Ticket, only


class Autotask(Desk):
    system = "autotask"
    base_path = "/atservicesrest"
    credentials: ClassVar = {"integration_code": "CODE", "user_name": "api@msp.example", "secret": "a-secret"}
    map: ClassVar = {"company_id": "174", "queue_id": 8, "priority": {"SEV1": 4, "default": 1}}
    open_status, working_status, closed_status = 8, 7, 5

    def authorise(self, request: Request) -> None:
        given = [request.headers.get(name) for name in ("apiintegrationcode", "username", "secret")]
        if given != ["CODE", "api@msp.example", "a-secret"]:
            raise Refused(401, "who are you?")

    def routes(self) -> list[tuple[str, str, Answer]]:
        return [
            ("GET", "/v1.0/ThresholdInformation", self.threshold),
            ("POST", "/v1.0/Tickets/query", self.query),
            ("POST", "/v1.0/Tickets", self.create),
            ("PATCH", "/v1.0/Tickets", self.patch),
            ("GET", "/v1.0/Tickets/{id}", self.read),
            ("POST", "/v1.0/Tickets/{id}/Notes", self.add_note),
            ("POST", "/v1.0/TicketNotes/query", self.query_notes),
        ]

    async def threshold(self, request: Request, given: Any) -> Any:
        return {"externalRequestThreshold": 10_000, "currentTimeframeRequestCount": 3}

    async def query(self, request: Request, given: Any) -> Any:
        (one,) = only(given, "filter", "MaxRecords")["filter"]
        if (one["op"], one["field"]) != ("eq", "externalID"):
            raise Refused(500, "filter")
        ours = [ticket for ticket in self.tickets.values() if ticket.fields["externalID"] == one["value"]]
        return {"items": [self._shown(ticket) for ticket in ours], "pageDetails": {"count": len(ours)}}

    async def create(self, request: Request, given: Any) -> Any:
        names = "title description externalID companyID queueID priority status ticketType ticketCategory dueDateTime"
        needed = ("companyID", "priority", "status", "title")
        try:
            fields = only(given, *names.split(), needed=needed)
        except Refused as refused:
            raise Refused(500, refused.said) from None  # as the original answers what is wrong with an entity
        if any(type(fields.get(one, 0)) is not int for one in ("companyID", "queueID", "priority", "status")):
            raise Refused(500, "a number is needed")
        made = self.add(fields)
        self.note(made, fields["description"], "api")
        return {"itemId": made.id}

    async def read(self, request: Request, given: Any) -> Any:
        ticket = self.tickets.get(request.path_params["id"])
        return {"item": None if ticket is None else self._shown(ticket)}

    async def patch(self, request: Request, given: Any) -> Any:
        fields = only(given, "id", "status", needed=("id",))
        if type(fields["id"]) is not int or fields["status"] not in (1, 5, 7, 8):
            raise Refused(500, "status")
        self.find(str(fields["id"])).fields["status"] = fields["status"]
        return {"itemId": fields["id"]}

    async def add_note(self, request: Request, given: Any) -> Any:
        names = ("title", "description", "noteType", "publish")
        fields = only(given, *names, needed=names)
        return {"itemId": self.note(self.find(request.path_params["id"]), fields["description"], "api").id}

    async def query_notes(self, request: Request, given: Any) -> Any:
        by = {(one["op"], one["field"]): one["value"] for one in only(given, "filter", "MaxRecords")["filter"]}
        notes = self.find(str(by["eq", "ticketID"])).notes
        return {"items": [{"id": one.id} for one in notes if by["contains", "description"] in one.text]}

    def _shown(self, ticket: Ticket) -> dict[str, Any]:
        return {"id": ticket.id, "ticketNumber": f"T20261126.{ticket.id}", "creatorResourceID": 296, **ticket.fields}

    def title(self, ticket: Ticket) -> str:
        return str(ticket.fields["title"])

    def status(self, ticket: Ticket) -> Any:
        return ticket.fields["status"]

    def set_status(self, ticket: Ticket, status: Any) -> None:
        ticket.fields["status"] = status
