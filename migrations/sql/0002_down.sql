DROP FUNCTION permitted(jsonb, text[], uuid);
