package redisstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// timeout is the default of Config.Timeout.
const timeout = 500 * time.Millisecond

// options are what all kinds of Redis share. One retry, and only of commands
// that may run twice (see once).
func options(timeout time.Duration) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Protocol:              2, // no pushes to listen for
		MaxRetries:            1,
		MinRetryBackoff:       10 * time.Millisecond,
		MaxRetryBackoff:       50 * time.Millisecond,
		DialTimeout:           timeout,
		DialerRetries:         2,
		DialerRetryTimeout:    20 * time.Millisecond,
		ReadTimeout:           timeout,
		WriteTimeout:          timeout,
		PoolTimeout:           2 * timeout,
		ContextTimeoutEnabled: true,
		// Records are small; the default of 32 KiB twice per connection is not.
		ReadBufferSize:           4 << 10,
		WriteBufferSize:          4 << 10,
		PipelinePoolSize:         -1,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// parseURL reads Config.URL. Its errors never quote it: it may hold a password.
func parseURL(raw string, timeout time.Duration) (*redis.UniversalOptions, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, errors.New("redis address has no scheme: want embedded, redis://, rediss://, unix:// or sentinel://")
	}
	if strings.ContainsAny(rest, "?#") {
		return nil, errors.New("redis address: options after ? or # are not taken")
	}
	o := options(timeout)
	user := ""
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, rest = rest[:at], rest[at+1:]
	}
	name, password, err := credentials(user)
	if err != nil {
		return nil, err
	}
	if scheme == "unix" {
		if !strings.HasPrefix(rest, "/") {
			return nil, errors.New("redis address: unix:// wants an absolute path")
		}
		o.Username, o.Password, o.Addrs = name, password, []string{rest}
		return o, nil
	}

	hosts, db, _ := strings.Cut(rest, "/")
	if db != "" {
		if o.DB, err = strconv.Atoi(db); err != nil || o.DB < 0 {
			return nil, errors.New("redis address: what follows the / is not a database number")
		}
	}
	port := "6379"
	switch scheme {
	case "redis":
		o.Username, o.Password = name, password
	case "rediss":
		o.Username, o.Password = name, password
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	case "sentinel":
		port = "26379"
		if name == "" {
			return nil, errors.New("redis address: want sentinel://master@host,host")
		}
		o.MasterName, o.Password = name, password
	default:
		return nil, fmt.Errorf("redis address: unknown scheme %q", scheme)
	}
	for host := range strings.SplitSeq(hosts, ",") {
		addr, err := hostPort(host, port)
		if err != nil {
			return nil, err
		}
		o.Addrs = append(o.Addrs, addr)
	}
	if len(o.Addrs) > 1 && o.MasterName == "" && o.DB != 0 {
		return nil, errors.New("redis address: a cluster has no database numbers")
	}
	return o, nil
}

func credentials(user string) (name, password string, err error) {
	name, password, _ = strings.Cut(user, ":")
	if name, err = url.PathUnescape(name); err == nil {
		password, err = url.PathUnescape(password)
	}
	if err != nil {
		return "", "", errors.New("redis address: user or password is badly escaped")
	}
	return name, password, nil
}

func hostPort(host, port string) (string, error) {
	if h, p, err := net.SplitHostPort(host); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 || h == "" {
			return "", errors.New("redis address: want host or host:port")
		}
		return host, nil
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "" || strings.ContainsAny(host, " []/@") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return "", errors.New("redis address: want host or host:port")
	}
	return net.JoinHostPort(host, port), nil
}
