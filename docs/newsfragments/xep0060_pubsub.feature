Domains can serve publish-subscribe (XEP-0060): nodes with all access models and affiliations, publish options, approval of subscriptions, paging (XEP-0059).
