package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/oauth"
	"github.com/hoofbeat/hoofbeat/examples/approval/internal/hub"
)

// reading is one measurement of the sensors.
type reading struct {
	Temperature float64   `json:"temperature"`
	Humidity    float64   `json:"humidity"`
	At          time.Time `json:"at"`
}

// readings is the protected resource. It requires an access token.
func (d *demo) readings(w http.ResponseWriter, r *http.Request) {
	token, ok := httpsec.RequestToken(r.Header)
	if !ok {
		auth.WriteRefusal(w, &auth.Refusal{Challenge: "Bearer"})
		return
	}
	if _, err := d.verifier.Verify(r.Context(), token); err != nil {
		auth.WriteRefusal(w, err)
		return
	}
	now := time.Now()
	t := float64(now.UnixMilli()) / 1000
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(reading{ // the caller may be gone
		Temperature: 21 + 1.6*math.Sin(t/17) + .3*math.Sin(t/2.3),
		Humidity:    62 + 5*math.Cos(t/23) + .8*math.Sin(t/3.1),
		At:          now,
	})
}

// fetchReadings is the background job; no browser is involved. For each user
// with an open window it requests a reading with that user's stored token, and
// pushes the result.
func (d *demo) fetchReadings(ctx context.Context) {
	every := time.NewTicker(d.o.Every)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		for _, user := range d.hub.Users() {
			err := d.fetch(ctx, user)
			switch {
			case err == nil, ctx.Err() != nil, errors.Is(err, hub.ErrDown):
			case errors.Is(err, oauth.ErrNoToken): // the phone, or a waiting page
			default:
				d.o.Logger.Warn("fetching readings", "error", err)
			}
		}
	}
}

const fetchTimeout = 5 * time.Second

func (d *demo) fetch(ctx context.Context, user string) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.o.Provider+"/readings", nil)
	if err != nil {
		return err
	}
	reply, err := d.client.HTTPClient(user, providerName).Do(r)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, 4<<10))
	if err != nil {
		return err
	}
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("the sensors answered %s", reply.Status)
	}
	return d.hub.Tell(ctx, user, hub.Readings, body)
}
