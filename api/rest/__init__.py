"""REST: one router per noun. `ROUTERS` is what the application serves."""

from fastapi import APIRouter

from api.rest import (
    actions,
    documentation,
    follow_ups,
    incidents,
    links,
    notifications,
    obligations,
    participants,
    playbooks,
    sign_off,
    steps,
    timeline,
    work,
)

ROUTERS: list[APIRouter] = [
    incidents.routes,
    steps.routes,
    actions.routes,
    participants.routes,
    documentation.routes,
    notifications.routes,
    obligations.routes,
    follow_ups.routes,
    links.routes,
    timeline.routes,
    sign_off.routes,
    work.routes,
    playbooks.routes,
]
