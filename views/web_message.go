package views

// WebMessage hands an authorization response to the application's page, of which it is
// a hidden frame (draft-sakimura-oauth-wmrm-00 §5). A script from our own files does it;
// without JavaScript nobody is there to get it.
type WebMessage struct {
	Frame
	// Origin is the only one that gets the response.
	Origin string
	// Fields are the response's parameters, in order.
	Fields []Field
}
