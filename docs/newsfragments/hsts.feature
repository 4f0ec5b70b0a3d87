``web.strict_transport_days`` has browsers use nothing but HTTPS (HSTS, RFC 6797).
