A host publishes contact addresses (XEP-0157).
