package admin

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// user is a user's name and number of sessions.
type user struct {
	Name     string `json:"name"`
	Sessions int    `json:"sessions"`
}

// destination is [broker.DestinationInfo] as JSON.
type destination struct {
	Name           string `json:"name"`
	Subscriptions  int    `json:"subscriptions"`
	Messages       int    `json:"messages"`
	Bytes          int64  `json:"bytes"`
	Unacknowledged int    `json:"unacknowledged"`
}

// users lists the connected users by name.
func (a *api) users(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "prefix", "offset", "limit")
	if p != nil {
		return p
	}
	var all []user
	for name, sessions := range a.b.Users() {
		if strings.HasPrefix(name, q.Get("prefix")) {
			all = append(all, user{name, sessions})
		}
	}
	slices.SortFunc(all, func(x, y user) int { return cmp.Compare(x.Name, y.Name) })
	return answerPage(w, q, all)
}

// destinations lists the destinations in use by name.
func (a *api) destinations(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "prefix", "offset", "limit")
	if p != nil {
		return p
	}
	var all []destination
	for d := range a.b.Destinations() {
		if strings.HasPrefix(d.Name, q.Get("prefix")) {
			all = append(all, destination(d))
		}
	}
	slices.SortFunc(all, func(x, y destination) int { return cmp.Compare(x.Name, y.Name) })
	return answerPage(w, q, all)
}
