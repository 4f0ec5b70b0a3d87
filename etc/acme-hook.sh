#!/bin/sh
# Give xmppd a certificate that an ACME client has just got or renewed. For
#
#   certbot      as a deploy hook:  certbot … --deploy-hook /etc/xmppd/acme-hook.sh
#   acme.sh      as a reload command:  acme.sh --install-cert -d DOMAIN --reloadcmd /etc/xmppd/acme-hook.sh
#   lego         as a deploy hook (5), or as a run hook and a renew hook (4)
#   dehydrated   as HOOK
#   anything     acme-hook.sh install DOMAIN KEYFILE FULLCHAINFILE
#
# Key and chain go into one file, DOMAIN.pem, which only the server's user can read. It is looked at first: one that
# clients would refuse isn't installed, and what was there stays. It appears whole or not at all; then the server is
# told. See docs/certificates.rst.
#
# What may be set, in the environment or in /etc/xmppd/acme-hook.conf:
#
#   XMPPD_CERTIFICATES   the server's folder (tls.certificates); /etc/xmppd/certs
#   XMPPD_CONFIG         its configuration; /etc/xmppd/xmppd.toml
#   XMPPD_USER           its user; xmppd
#   XMPPD_DOMAIN         what to call the file, if not after the first domain of the certificate
#   XMPPCTL              where xmppctl is

set -euf
umask 077

# shellcheck source=/dev/null
[ ! -r /etc/xmppd/acme-hook.conf ] || . /etc/xmppd/acme-hook.conf
certificates=${XMPPD_CERTIFICATES:-/etc/xmppd/certs}
config=${XMPPD_CONFIG:-/etc/xmppd/xmppd.toml}
user=${XMPPD_USER:-xmppd}
xmppctl=${XMPPCTL:-}
if [ -z "$xmppctl" ]; then
  if [ -x /opt/xmppd/bin/xmppctl ]; then xmppctl=/opt/xmppd/bin/xmppctl; else xmppctl=xmppctl; fi
fi

fail() {
  echo "acme-hook: $*" >&2
  exit 1
}

install_certificate() {
  domain=${XMPPD_DOMAIN:-$1} key=$2 chain=$3
  case $domain in
    '' | .* | -* | *[!A-Za-z0-9.*_-]*) fail "'$domain' is no domain" ;;
  esac
  [ -r "$key" ] || fail "there is no key at '$key'"
  [ -r "$chain" ] || fail "there is no chain at '$chain'"
  [ -d "$certificates" ] || fail "there is no folder '$certificates'; set XMPPD_CERTIFICATES"

  # Beside its place, so that moving it there is one step; the server doesn't look into folders.
  new=$(mktemp -d "$certificates/.new.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  trap 'exit 1' HUP INT TERM
  { cat "$key"; echo; cat "$chain"; } >"$new/$domain.pem"
  status=0
  "$xmppctl" --config "$config" cert check "$new/$domain.pem" >&2 || status=$?
  [ "$status" -eq 0 ] || fail "$domain.pem is not installed (status $status); what was there stays"
  if [ "$(id -u)" -eq 0 ]; then
    chown "$user" "$new/$domain.pem" || fail "set XMPPD_USER to the server's user"
  fi
  mv -f "$new/$domain.pem" "$certificates/$domain.pem"
  echo "acme-hook: installed $certificates/$domain.pem" >&2

  "$xmppctl" --config "$config" reload >&2 || status=$?
  case $status in
    0) ;;
    69) echo "acme-hook: the server doesn't run; it takes the certificate when it starts" >&2 ;;
    *) fail "the server could not take it up (status $status)" ;;
  esac
}

if [ "${1:-}" = install ]; then
  [ $# -eq 4 ] || fail "usage: acme-hook.sh install DOMAIN KEYFILE FULLCHAINFILE"
  install_certificate "$2" "$3" "$4"
elif [ $# -gt 0 ]; then
  # Dehydrated tells its hook of everything it does: KEYFILE is the second, FULLCHAINFILE the fourth of deploy_cert.
  [ "$1" = deploy_cert ] || exit 0
  [ $# -ge 5 ] || fail "deploy_cert takes DOMAIN KEYFILE CERTFILE FULLCHAINFILE"
  install_certificate "$2" "$3" "$5"
elif [ -n "${RENEWED_LINEAGE:-}" ]; then
  # Certbot. The folder may be called example.org-0001, so the domains are asked first.
  first=${RENEWED_DOMAINS:-${RENEWED_LINEAGE##*/}}
  install_certificate "${first%% *}" "$RENEWED_LINEAGE/privkey.pem" "$RENEWED_LINEAGE/fullchain.pem"
elif [ -n "${LEGO_HOOK_CERT_PATH:-}" ]; then
  install_certificate "${LEGO_HOOK_CERT_NAME:-}" "${LEGO_HOOK_CERT_KEY_PATH:-}" "$LEGO_HOOK_CERT_PATH"
elif [ -n "${LEGO_CERT_PATH:-}" ]; then
  install_certificate "${LEGO_CERT_DOMAIN:-}" "${LEGO_CERT_KEY_PATH:-}" "$LEGO_CERT_PATH"
elif [ -n "${CERT_FULLCHAIN_PATH:-}" ]; then
  # Acme.sh, which doesn't say the domain when it has the certificate for the first time; the key is named after it.
  name=${CERT_KEY_PATH:-}
  name=${name##*/}
  install_certificate "${Le_Domain:-${name%.key}}" "${CERT_KEY_PATH:-}" "$CERT_FULLCHAIN_PATH"
else
  fail "called by none of certbot, acme.sh, lego or dehydrated; see the head of this file"
fi
