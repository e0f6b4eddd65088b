// Package httpsec answers the questions about a request that protect a server
// from the pages of others: which page sent it (Origin), whether that page may,
// and whether the request was meant for this machine (Host). A browser lets a
// page of any site open a WebSocket to any other site, cookies included, so the
// server has to look (RFC 6455 section 10.2).
//
// Everything that takes requests of pages goes by this one implementation: the
// broker, SockJS, the ticket endpoint, polling of a Web Flow and the check of the
// configuration. [CORS] is what endpoints tell browsers about pages of other origins.
package httpsec
