In-band registration, password changes and cancellation (XEP-0077); registration is closed unless the host's ``registration`` says otherwise.
