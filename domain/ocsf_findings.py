"""Events in the Open Cybersecurity Schema Framework, for a SIEM: Incident Finding, or Base Event without an incident.

The numbers are data (`domain/data/event_formats/ocsf.yaml`). What our message says stays whole under `unmapped`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from domain.shipped import shipped

Body = dict[str, Any]
_RULES: Final[Any] = shipped("event_formats/ocsf.yaml")


def ocsf_event(event: Mapping[str, Any], told: Body, base_url: str) -> Body:
    """One event in OCSF. `type_uid` is class and activity together, as the framework counts them."""
    incident = event["incident"]
    kind = _RULES["other"] if incident is None else _RULES["incident"]
    at = _milliseconds(event["timestamp"])
    activity = _RULES["activity_other"]
    severity = _RULES["severity_none"]
    if incident is not None:
        activity = _RULES["activity"].get(event["type"], _RULES["activity_incident"])
        severity = _RULES["severity"].get(incident["severity"], _RULES["severity_unknown"])
    found: Body = {
        **kind,
        "activity_id": activity["id"],
        "activity_name": activity["name"] if incident is not None else event["type"],
        "type_uid": kind["class_uid"] * 100 + activity["id"],
        "severity_id": severity["id"],
        "severity": severity["name"],
        "time": at,
        "message": event["type"],
        "metadata": {
            "version": _RULES["version"],
            "product": _RULES["product"],
            "uid": event["id"],
            "event_code": event["type"],
            "sequence": event["seq"],
            "original_time": event["timestamp"],
            "correlation_uid": event["stream_id"],
        },
        "unmapped": told,
    }
    return found if incident is None else found | _of_incident(incident)


def _of_incident(incident: Mapping[str, Any]) -> Body:
    status = _RULES["status"].get(incident["status"], _RULES["status_unknown"])
    return {
        "status_id": status["id"],
        "status": status["name"],
        "src_url": incident["url"],
        "finding_info_list": [{"uid": incident["id"], "title": incident["number"], "src_url": incident["url"]}],
    }


def _milliseconds(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)
