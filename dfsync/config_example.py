"""An example of `config.py`: copy it into the folder you start dfsync in, as `config.py`, and put in your own values.

dfsync reads it only from that folder, and only where neither --target nor MARIADB_URL says where to go. It holds a
password: keep it out of version control, and readable by you alone (`chmod 600 config.py`).
"""

MARIADB_CONFIG = {
    "host": "db.example.com",
    "port": 3306,
    "database": "gpt",
    "user": "your_username",
    "password": "your_password",
    # In place of host and port, a server on this machine:
    # "unix_socket": "/run/mysqld/mysqld.sock",
    # TLS. With ssl_ca the server's certificate and its name are verified, and nothing goes over a plain connection:
    # "ssl_ca": "/etc/ssl/certs/db-ca.pem",
    # "ssl_cert": "/etc/ssl/certs/client.pem",
    # "ssl_key": "/etc/ssl/private/client.key",
    # Verify with the certificate authorities that this machine trusts anyway:
    # "ssl_verify_cert": True,
    # For a certificate that is right but made out to another name:
    # "ssl_verify_identity": False,
}
