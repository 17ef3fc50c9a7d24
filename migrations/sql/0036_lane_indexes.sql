-- Which tenants have lanes that are due is asked by stepping from tenant to tenant, however many lanes each has. The other
-- index has the whole key behind the time, so that a lane whose lease is known is found at once by either, whichever of
-- them a plan made for an empty table has chosen.
DROP INDEX webhook_lanes_next, webhook_lanes_by_time;
CREATE INDEX webhook_lanes_next ON webhook_lanes (tenant_id, next_at);
CREATE INDEX webhook_lanes_by_time ON webhook_lanes (tenant_id, endpoint_id, next_at, stream, stream_id);
