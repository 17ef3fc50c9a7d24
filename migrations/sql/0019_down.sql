DROP FUNCTION tenant_of(text, text);
DROP TABLE identity_directory, identities, identity_providers;
