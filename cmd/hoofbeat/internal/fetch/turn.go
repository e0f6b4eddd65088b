package fetch

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/oauth"
)

// due returns the users for whom a source has to be asked now. A new user's turn is
// at once. Users whose tokens are gone, because they have signed out, are forgotten
// with what was fetched for them.
func (f *Fetcher) due(ctx context.Context, s Source) (due []string) {
	users, err := f.o.Grants.Users(ctx, s.Provider)
	if err != nil {
		if ctx.Err() == nil {
			f.warn(s, "the users of a provider could not be listed", "error", err)
		}
		return nil
	}
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, user := range users {
		k := key{s.Name, user}
		one := f.states[k]
		if one == nil {
			one = &state{due: now}
			f.states[k] = one
		}
		one.listed = true
		if !one.underway && !now.Before(one.due) {
			one.underway = true
			due = append(due, user)
		}
	}
	for k, one := range f.states {
		switch {
		case k.source != s.Name:
		case one.listed:
			one.listed = false // until the next turn
		default:
			f.kept -= int64(len(one.answer.Body))
			delete(f.states, k)
		}
	}
	return due
}

// note keeps what came, plans the next turn, and reports whether it is news.
func (f *Fetcher) note(s Source, user string, answer Answer, err error) (news bool) {
	var problem []any
	defer func() {
		if problem != nil {
			f.warn(s, "a resource could not be fetched for a user", append(problem, "user", user)...)
		}
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.states[key{s.Name, user}]
	if one == nil {
		return false // signed out meanwhile
	}
	one.underway = false
	pause := jittered(s.Every)
	switch {
	case err == nil:
		one.failures = 0
		news = !bytes.Equal(one.answer.Body, answer.Body)
		if !f.keep(one, answer) {
			problem = []any{"error", "the answers that are kept would exceed limits.fetched_answers", "limit", f.o.MaxKept}
		}
	case errors.Is(err, oauth.ErrReconsent):
		one.failures = 0
		one.answer.Reconsent, one.answer.Provider = true, s.Provider
		pause = min(pause, maxTick) // which asks nobody until the user has signed in
	case errors.Is(err, oauth.ErrNoToken):
	default:
		one.failures++
		pause = max(pause, min(pause<<min(one.failures, 16), maxPause))
		problem = []any{"failures", one.failures, "next", pause.Round(time.Millisecond).String(), "error", err}
	}
	one.due = time.Now().Add(pause)
	return news
}

// jittered is up to a tenth less than d, so that users do not all come together.
func jittered(d time.Duration) time.Duration { return d - rand.N(d/10+1) }

// keep replaces an answer. It reports false if the new one is too much, which leaves
// none: an old one would be a wrong one. f.mu is held.
func (f *Fetcher) keep(one *state, answer Answer) bool {
	f.kept -= int64(len(one.answer.Body))
	one.answer = Answer{}
	if f.kept+int64(len(answer.Body)) > f.o.MaxKept {
		return false
	}
	f.kept += int64(len(answer.Body))
	one.answer = answer
	return true
}
