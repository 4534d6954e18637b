"""What `migrate` sets up: the roles, and alterations of tables that let others work on."""
