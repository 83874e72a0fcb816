package e2e

import "strings"

// begins opens the number page.
func (b *tab) begins(r *rig) request {
	b.t.Helper()
	q := r.newRequest(webClient)
	b.open(r.base+"/authorize?"+q.Encode()).wants(200, "Sign in to The web app")
	return q
}

func numberTests() []pageTest {
	return []pageTest{
		{"NumberPage", nil, func(r *rig, b *tab) {
			b.begins(r)
			b.is("phone.autocomplete", "tel").is("phone.type", "tel").is("phone.required", "true")
			b.is("country.value", "GB").is("document.title", "Sign in to The web app")
			b.alsoPhotographed("number")
		}},
		{"NumberErrors", nil, func(r *rig, b *tab) {
			b.begins(r)
			for _, c := range []struct{ name, typed, says string }{
				{"empty", "", "Enter a mobile number, like"},
				{"unreadable", "call me", "Enter a mobile number, like"},
				{"country", "+33 6 12 34 56 78", "We cannot text numbers in France. Countries we can text: "},
				{"kind", "020 7946 0958", "Enter a mobile number that can get text messages"},
				{"extension", "07400 123456 ext 12", "Enter the number without an extension"},
			} {
				b.fill("#phone", c.typed).click("main button[type=submit]").wants(422, "There is a problem", c.says)
				if !strings.HasPrefix(b.text("document.title"), "Error: ") {
					b.t.Errorf("title %q", b.text("document.title"))
				}
				b.is("phone.value", c.typed).is("phone.ariaInvalid", "true")
				b.is("phone.getAttribute('aria-describedby')", "phone-hint phone-error")
				b.is("document.querySelector('#summary a').getAttribute('href')", "#phone")
				b.is("document.getElementById('phone-error').textContent.includes(document.querySelector('#summary a').textContent.trim())", "true")
				if b.look.js {
					b.is("document.activeElement.id", "summary")
				}
				b.photographed("number-" + c.name)
			}
		}},
	}
}
