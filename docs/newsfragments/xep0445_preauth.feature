Administrators can invite people to register (XEP-0401, XEP-0445).
