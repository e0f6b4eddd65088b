// Package httpsec answers the questions about HTTP on which security depends:
// which page sent a request (Origin), whether that page may, whether the
// request was meant for this machine (Host), which token it carries
// (Authorization), which addresses one client has, and whether a secret may be
// sent to a URL. A browser lets a page of any site open a WebSocket to any other
// site, cookies included, so the server has to look (RFC 6455 section 10.2).
//
// Everything that takes requests or sends secrets uses this one implementation:
// the broker, SockJS, the admin API, the ticket endpoint, polling of a Web Flow,
// the clients of providers and backends, and the check of the configuration. A test
// looks for a second one. [CORS] is what endpoints tell browsers about pages of
// other origins.
package httpsec
