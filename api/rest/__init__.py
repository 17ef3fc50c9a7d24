"""REST: one router per noun. `ROUTERS` is what the application serves."""

from fastapi import APIRouter

ROUTERS: list[APIRouter] = []
