Messages for users who are away are kept until they come back (XEP-0160), with the time they came (XEP-0203).
