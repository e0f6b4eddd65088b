package oauth

import (
	"net/http"
	"time"
)

// cookies are the two cookies of a [Client]. Both are HttpOnly and
// SameSite=Lax; the callback is a navigation from the provider's site, to which
// browsers send no Strict cookies. Both are Secure, except for a site on
// loopback http.
type cookies struct {
	session http.Cookie // identifies the session
	browser http.Cookie // ties pending logins to the browser that started them
}

func newCookies(o *Options, https bool) cookies {
	prefix, sessionPrefix := "", ""
	if https {
		prefix, sessionPrefix = "__Host-", "__Host-"
		if o.CookiePath != "/" {
			sessionPrefix = "__Secure-"
		}
	}
	template := http.Cookie{Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: https}
	c := cookies{session: template, browser: template}
	c.session.Name, c.session.Path = sessionPrefix+o.Cookie, o.CookiePath
	c.session.MaxAge = int(o.SessionTTL / time.Second)
	c.browser.Name, c.browser.MaxAge = prefix+o.Cookie+"-login", int(loginTTL/time.Second)
	return c
}

// setCookie sets a cookie, or deletes it if value is empty.
func setCookie(w http.ResponseWriter, template http.Cookie, value string) {
	template.Value = value
	if value == "" {
		template.MaxAge = -1
	}
	http.SetCookie(w, &template)
}

// readCookie returns the well-formed value of a cookie. If the browser sends
// two cookies of that name it returns neither, because another site set one of
// them. present reports whether the browser sent any.
func readCookie(h http.Header, name string) (value string, present bool) {
	r := http.Request{Header: h}
	found := r.CookiesNamed(name)
	if len(found) != 1 || len(found[0].Value) != secretLength {
		return "", len(found) > 0
	}
	return found[0].Value, true
}
