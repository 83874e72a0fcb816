package verification

import "testing"

// A client's callback must not reach into the operator's network, unless private
// addresses are allowed; what a name resolves to is checked when it is dialled.
func TestCallbackAddresses(t *testing.T) {
	t.Parallel()
	for address, allowed := range map[string][2]bool{ // by default, and where private addresses are allowed
		"https://app.example/hook":     {true, true},
		"http://app.example/hook":      {false, true},
		"https://127.0.0.1/":           {false, true},
		"https://10.0.0.8/":            {false, true},
		"https://[::1]/":               {false, true},
		"https://169.254.169.254/":     {false, false},
		"https://u:p@app.example/":     {false, false},
		"https://app.example/#x":       {false, false},
		"ftp://app.example/":           {false, false},
		"https:///hook":                {false, false},
		"javascript:alert(1)":          {false, false},
		"https://app.example/\x7fhook": {false, false},
	} {
		for i, private := range []bool{false, true} {
			a := NewAPI(nil, APIConfig{AllowPrivate: private})
			if problem := a.callbackProblem(address); (problem == "") != allowed[i] {
				t.Errorf("%q, private allowed %v: %q", address, private, problem)
			}
		}
	}
}
