package views

// Logout asks before it ends the session (RP-Initiated Logout §2). It posts to
// {Base}/oidc/logout: csrf, logout, decision=approve.
type Logout struct {
	Frame
	CSRF string
	// Logout is the frozen request, opaque to the page.
	Logout string
}

// LoggedOut is the end of a logout that leads nowhere else.
type LoggedOut struct {
	Frame
	// AppURL leads back to the application; it must come from the client's
	// registration. Empty shows no link.
	AppURL string
}

func (p LoggedOut) back() Message { return Message{"loggedout.back", Args{"app": Name(p.App)}} }
