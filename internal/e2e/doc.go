// Package e2e drives whole servers from outside, as their users do: a browser
// that keeps cookies, fills forms and follows redirects, a headless Chromium,
// relying parties written with other people's libraries, and attackers.
package e2e
