package fetch

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/oauth"
)

// due returns the users for whom the source must be asked now. New users are
// due at once. For users without a token, because they have signed out, it
// removes the state with its answer.
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
			one.listed = false // reset for the next turn
		default:
			f.kept -= int64(len(one.answer.Body))
			delete(f.states, k)
		}
	}
	return due
}

// note stores the answer, schedules the next request, and reports whether the
// answer has changed.
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
		pause = min(pause, maxTick) // this makes no request until the user has signed in
	case errors.Is(err, oauth.ErrNoToken):
	default:
		one.failures++
		pause = max(pause, min(pause<<min(one.failures, 16), maxPause))
		problem = []any{"failures", one.failures, "next", pause.Round(time.Millisecond).String(), "error", err}
	}
	one.due = time.Now().Add(pause)
	return news
}

// jittered returns d minus up to a tenth, so that the requests of users spread
// out.
func jittered(d time.Duration) time.Duration { return d - rand.N(d/10+1) }

// keep replaces the answer. If the new one exceeds the limit, it returns false
// and keeps no answer, because the old one would be wrong. The caller holds
// f.mu.
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
