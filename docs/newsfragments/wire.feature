The stream parser tells the same however its input is cut, refuses namespaces that are no URIs, and passes a stanza on so that every receiver's parser sees exactly what the server saw.
