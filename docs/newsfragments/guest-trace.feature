The trace data of SASL ANONYMOUS goes to the audit log, escaped, and nowhere else.
