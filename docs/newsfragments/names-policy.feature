Names that look like other names are refused where accounts, rooms and nicknames are made (XEP-0165): `paypa1` beside
`paypal`, protected names like `admin`, names that mix scripts, invisible and padded nicknames. Policy per host in
`[host."DOMAIN".names]`; administrators can insist; every decision is in the audit log.
