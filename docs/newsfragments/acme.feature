``etc/acme-hook.sh`` installs what certbot, acme.sh, lego or dehydrated have got, and ``web.acme_challenge`` answers authorities that ask by HTTP.
