-- tenants.directory_version moves with every change of people, clients and settings, in the transaction of the change:
-- who kept a copy of them may go on using it while the version stands.
CREATE FUNCTION move_directory() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tenants SET directory_version = directory_version + 1
    WHERE tenant_id = CASE TG_OP WHEN 'DELETE' THEN OLD.tenant_id ELSE NEW.tenant_id END;
    RETURN NULL;
END
$$;

CREATE TRIGGER people_move_directory AFTER INSERT OR DELETE ON people
FOR EACH ROW EXECUTE FUNCTION move_directory();
-- A token that waits to be used changes nothing that a rule looks at.
CREATE TRIGGER changed_people_move_directory AFTER UPDATE ON people
FOR EACH ROW WHEN (
    to_jsonb(OLD) - '{version,updated_at,token_hash,token_expires_at}'::text[]
    IS DISTINCT FROM to_jsonb(NEW) - '{version,updated_at,token_hash,token_expires_at}'::text[])
EXECUTE FUNCTION move_directory();

CREATE TRIGGER clients_move_directory AFTER INSERT OR DELETE ON clients
FOR EACH ROW EXECUTE FUNCTION move_directory();
CREATE TRIGGER changed_clients_move_directory AFTER UPDATE ON clients
FOR EACH ROW WHEN (
    to_jsonb(OLD) - '{version,updated_at}'::text[] IS DISTINCT FROM to_jsonb(NEW) - '{version,updated_at}'::text[])
EXECUTE FUNCTION move_directory();

CREATE FUNCTION move_own_directory() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.directory_version := OLD.directory_version + 1;
    RETURN NEW;
END
$$;

CREATE TRIGGER settings_move_directory BEFORE UPDATE OF settings ON tenants
FOR EACH ROW WHEN (OLD.settings IS DISTINCT FROM NEW.settings)
EXECUTE FUNCTION move_own_directory();
