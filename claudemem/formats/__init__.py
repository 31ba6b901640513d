"""How the admin writes times: so that they sort, and to the second."""
