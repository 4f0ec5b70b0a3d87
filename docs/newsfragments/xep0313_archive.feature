Archives of messages for accounts and rooms (XEP-0313) with stanza ids (XEP-0359), preferences (XEP-0441), hints (XEP-0334), tombstones of retracted messages (XEP-0424) and deletion by age.
