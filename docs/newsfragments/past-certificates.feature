Certificates of other domains are kept, so that ``xmppctl dna history DOMAIN --pem`` shows past ones too; ``xmppctl dna acknowledge DOMAIN`` says that a change was looked at.
