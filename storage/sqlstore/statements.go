package sqlstore

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed queries/*.sql
var queryFiles embed.FS

// statement names one statement of queries/*.sql.
type statement int

const (
	beginWrite statement = iota
	commit
	rollback
	savepoint
	releaseSavepoint
	rollbackToSavepoint
	commitsDurable
	commitsFast

	userByID
	userByNumber
	usersAfter
	insertUser
	userLoggedIn
	resealUser
	updateUser
	usersSealedByOthers
	blockUser
	unblockUser
	deleteUser
	rememberRemovedUser
	userOfAttribute
	insertUniqueAttribute
	deleteUniqueOfUser
	deleteUniqueAttribute
	indexedAttributes
	insertIndexedAttribute
	deleteIndexedAttribute
	usersFrom
	countUsers
	setVerified
	metadataOfUser
	putMetadata
	deleteMetadata
	metadataSealedByOthers

	insertSession
	sessionByMAC
	sessionStanding
	touchSession
	endSession
	endSessionByMAC
	endSessionsOfUser
	deleteExpiredSessions

	insertGrant
	grantByCode
	redeemGrant
	grantRedeemedAt
	extendGrant
	revokeGrant
	grantExists
	transactionAnswered
	revokeGrantsOfSession
	moveGrants
	revokeGrantsOfUser
	revokeGrantsForAPI
	grantsOfAPI
	grantsOfClient
	revokedGrants
	revokedGrantsForAPIs
	deleteEndedGrants

	insertFamily
	familyByID
	familyStanding
	rotateFamily

	allClients
	clientByID
	insertClient
	updateClient
	deleteClient

	allAPIs
	apiByID
	insertAPI
	updateAPI
	deleteAPI
	allClientGrants
	clientGrant
	insertClientGrant
	updateClientGrant
	putClientGrant
	deleteClientGrant
	deleteClientGrantsOfClient
	deleteClientGrantsOfAPI
	assignmentsOfUser
	assignment
	putAssignment
	deleteAssignment
	deleteAssignmentsOfAPI

	subjectOfUser
	userOfSubject
	insertSubject

	insertRevokedToken
	revokedTokensSince
	deleteExpiredRevokedTokens

	allConnections
	connectionByName
	insertConnection
	deleteConnection
	putConnection
	seedConnection
	sealedConnections
	resealConnection

	allSigningKeys
	putSigningKey
	deleteSigningKey
	sealedSigningKeys
	resealSigningKey

	insertChange
	changesAfter
	lastChange
	deleteOldChanges

	enteredChallenges
	textEntered
	insertText
	newestText
	textVerified
	insertTextEvent
	countTextEvents
	lastSender
	textsByReference
	eventsByReference
	receiptsOfText
	receiptsOfMessage
	insertReceipt
	textsWithNames
	keyText
	receiptsWithNames
	deleteReceiptWithName
	deliveriesSince
	deleteTextsOfNumber
	resealText
	textsSealedByOthers
	putSenderState
	senderStates
	deleteOldTexts
	deleteOldTextEvents
	deleteOldReceipts
	deleteSilentServers

	insertVerification
	verificationByID
	verificationByIdempotency
	verificationHandedOver
	endVerification
	expireVerification
	untoldVerifications
	expireVerifications
	useVerificationResult
	deleteVerification
	deleteVerificationsOfNumber
	deleteOldVerifications
	resealVerification
	verificationsSealedByOthers
	insertVerificationCallback
	verificationCallbacksDue
	claimVerificationCallbacks
	finishVerificationCallback
	callbackOfVerification

	statementCount
)

var statementNames = [statementCount]string{
	beginWrite:          "begin_write",
	commit:              "commit",
	rollback:            "rollback",
	savepoint:           "savepoint",
	releaseSavepoint:    "release_savepoint",
	rollbackToSavepoint: "rollback_to_savepoint",
	commitsDurable:      "commits_durable",
	commitsFast:         "commits_fast",

	userByID:            "user_by_id",
	userByNumber:        "user_by_number",
	usersAfter:          "users_after",
	insertUser:          "insert_user",
	userLoggedIn:        "user_logged_in",
	resealUser:          "reseal_user",
	updateUser:          "update_user",
	usersSealedByOthers: "users_sealed_by_others",
	blockUser:           "block_user",
	unblockUser:         "unblock_user",
	deleteUser:          "delete_user",
	rememberRemovedUser: "remember_removed_user",

	userOfAttribute:        "user_of_attribute",
	insertUniqueAttribute:  "insert_unique_attribute",
	deleteUniqueOfUser:     "delete_unique_attributes_of_user",
	deleteUniqueAttribute:  "delete_unique_attribute",
	indexedAttributes:      "indexed_attributes",
	insertIndexedAttribute: "insert_indexed_attribute",
	deleteIndexedAttribute: "delete_indexed_attribute",
	usersFrom:              "users_from",
	countUsers:             "count_users",
	setVerified:            "set_verified",
	metadataOfUser:         "metadata_of_user",
	putMetadata:            "put_metadata",
	deleteMetadata:         "delete_metadata",
	metadataSealedByOthers: "metadata_sealed_by_others",

	insertSession:         "insert_session",
	sessionByMAC:          "session_by_mac",
	sessionStanding:       "session_standing",
	touchSession:          "touch_session",
	endSession:            "end_session",
	endSessionByMAC:       "end_session_by_mac",
	endSessionsOfUser:     "end_sessions_of_user",
	deleteExpiredSessions: "delete_expired_sessions",

	insertGrant:           "insert_grant",
	grantByCode:           "grant_by_code",
	redeemGrant:           "redeem_grant",
	grantRedeemedAt:       "grant_redeemed_at",
	extendGrant:           "extend_grant",
	revokeGrant:           "revoke_grant",
	grantExists:           "grant_exists",
	transactionAnswered:   "transaction_answered",
	revokeGrantsOfSession: "revoke_grants_of_session",
	moveGrants:            "move_grants_between_sessions",
	revokeGrantsOfUser:    "revoke_grants_of_user",
	revokeGrantsForAPI:    "revoke_grants_of_user_for_api",
	grantsOfAPI:           "grants_of_api",
	grantsOfClient:        "grants_of_client",
	revokedGrants:         "revoked_grants",
	revokedGrantsForAPIs:  "revoked_grants_for_apis",
	deleteEndedGrants:     "delete_ended_grants",

	insertFamily:   "insert_family",
	familyByID:     "family_by_id",
	familyStanding: "family_standing",
	rotateFamily:   "rotate_family",

	allClients:   "all_clients",
	clientByID:   "client_by_id",
	insertClient: "insert_client",
	updateClient: "update_client",
	deleteClient: "delete_client",

	allAPIs:                    "all_apis",
	apiByID:                    "api_by_id",
	insertAPI:                  "insert_api",
	updateAPI:                  "update_api",
	deleteAPI:                  "delete_api",
	allClientGrants:            "all_client_grants",
	clientGrant:                "client_grant",
	insertClientGrant:          "insert_client_grant",
	updateClientGrant:          "update_client_grant",
	putClientGrant:             "put_client_grant",
	deleteClientGrant:          "delete_client_grant",
	deleteClientGrantsOfClient: "delete_client_grants_of_client",
	deleteClientGrantsOfAPI:    "delete_client_grants_of_api",
	assignmentsOfUser:          "assignments_of_user",
	assignment:                 "assignment",
	putAssignment:              "put_assignment",
	deleteAssignment:           "delete_assignment",
	deleteAssignmentsOfAPI:     "delete_assignments_of_api",

	subjectOfUser: "subject_of_user",
	userOfSubject: "user_of_subject",
	insertSubject: "insert_subject",

	insertRevokedToken:         "insert_revoked_token",
	revokedTokensSince:         "revoked_tokens_since",
	deleteExpiredRevokedTokens: "delete_expired_revoked_tokens",

	allConnections:    "all_connections",
	connectionByName:  "connection_by_name",
	insertConnection:  "insert_connection",
	deleteConnection:  "delete_connection",
	putConnection:     "put_connection",
	seedConnection:    "seed_connection",
	sealedConnections: "sealed_connections",
	resealConnection:  "reseal_connection",

	allSigningKeys:    "all_signing_keys",
	putSigningKey:     "put_signing_key",
	deleteSigningKey:  "delete_signing_key",
	sealedSigningKeys: "sealed_signing_keys",
	resealSigningKey:  "reseal_signing_key",

	insertChange:     "insert_change",
	changesAfter:     "changes_after",
	lastChange:       "last_change",
	deleteOldChanges: "delete_old_changes",

	enteredChallenges:     "entered_challenges",
	textEntered:           "text_entered",
	insertText:            "insert_text",
	newestText:            "newest_text",
	textVerified:          "text_verified",
	insertTextEvent:       "insert_text_event",
	countTextEvents:       "count_text_events",
	lastSender:            "last_sender",
	textsByReference:      "texts_by_reference",
	eventsByReference:     "events_by_reference",
	receiptsOfText:        "receipts_of_text",
	receiptsOfMessage:     "receipts_of_message",
	insertReceipt:         "insert_receipt",
	textsWithNames:        "texts_with_names",
	keyText:               "key_text",
	receiptsWithNames:     "receipts_with_names",
	deleteReceiptWithName: "delete_receipt_with_name",
	deliveriesSince:       "deliveries_since",
	deleteTextsOfNumber:   "delete_texts_of_number",
	resealText:            "reseal_text",
	textsSealedByOthers:   "texts_sealed_by_others",
	putSenderState:        "put_sender_state",
	senderStates:          "sender_states",
	deleteOldTexts:        "delete_old_texts",
	deleteOldTextEvents:   "delete_old_text_events",
	deleteOldReceipts:     "delete_old_receipts",
	deleteSilentServers:   "delete_silent_servers",

	insertVerification:          "insert_verification",
	verificationByID:            "verification_by_id",
	verificationByIdempotency:   "verification_by_idempotency",
	verificationHandedOver:      "verification_handed_over",
	endVerification:             "end_verification",
	expireVerification:          "expire_verification",
	untoldVerifications:         "untold_verifications",
	expireVerifications:         "expire_verifications",
	useVerificationResult:       "use_verification_result",
	deleteVerification:          "delete_verification",
	deleteVerificationsOfNumber: "delete_verifications_of_number",
	deleteOldVerifications:      "delete_old_verifications",
	resealVerification:          "reseal_verification",
	verificationsSealedByOthers: "verifications_sealed_by_others",
	insertVerificationCallback:  "insert_verification_callback",
	verificationCallbacksDue:    "verification_callbacks_due",
	claimVerificationCallbacks:  "claim_verification_callbacks",
	finishVerificationCallback:  "finish_verification_callback",
	callbackOfVerification:      "callback_of_verification",
}

// texts holds the text of each statement.
type texts [statementCount]string

// loadStatements reads every *.sql file of dir. It fails on a name that stands
// twice, that the code does not know, or that the code knows and no file has.
func loadStatements(files fs.FS, dir string) (*texts, error) {
	known := make(map[string]statement, statementCount)
	for s, name := range statementNames {
		known[name] = statement(s)
	}
	paths, err := fs.Glob(files, dir+"/*.sql")
	if err != nil {
		return nil, fmt.Errorf("list statements: %w", err)
	}
	var all texts
	for _, path := range paths {
		file, err := fs.ReadFile(files, path)
		if err != nil {
			return nil, fmt.Errorf("read statements: %w", err)
		}
		if err := all.add(known, string(file)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	for s, text := range all {
		if text == "" {
			return nil, fmt.Errorf("statement %q is in no file of %s", statementNames[s], dir)
		}
	}
	return &all, nil
}

// add splits a file at its "-- name:" lines. Other comment lines are for readers
// and stay out of the text.
func (t *texts) add(known map[string]statement, file string) error {
	named := false
	var current statement
	for line := range strings.Lines(file) {
		line = strings.TrimRight(line, " \r\n")
		if name, ok := strings.CutPrefix(line, "-- name: "); ok {
			s, ok := known[name]
			if !ok {
				return fmt.Errorf("unknown statement %q", name)
			}
			if t[s] != "" {
				return fmt.Errorf("statement %q stands twice", name)
			}
			current, named = s, true
			continue
		}
		if line == "" || strings.HasPrefix(line, "--") {
			continue
		}
		if !named {
			return fmt.Errorf("%q stands before the first name", line)
		}
		t[current] += strings.TrimSuffix(line, ";") + "\n"
	}
	return nil
}
