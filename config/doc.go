// Package config is the one place that reads configuration: a YAML file, under
// the environment, with secrets in files of their own. It knows what the keys
// mean and which values make sense together, and says all that is wrong at
// once, each problem with its key path and what to do about it.
//
// It opens nothing but the files it is told to read: no database, no network,
// no key. It imports leaves, and passcode/sms, which knows what a template may say.
//
// The comments on the fields of [Config] are the manual: docs/config.md
// ([Manual]) and `handset config example` ([Example]) are made from them.
package config
