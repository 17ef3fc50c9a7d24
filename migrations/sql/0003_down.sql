DROP TRIGGER settings_move_directory ON tenants;
DROP TRIGGER changed_clients_move_directory ON clients;
DROP TRIGGER clients_move_directory ON clients;
DROP TRIGGER changed_people_move_directory ON people;
DROP TRIGGER people_move_directory ON people;
DROP FUNCTION move_own_directory();
DROP FUNCTION move_directory();
