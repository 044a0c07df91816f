import { protocolErrors, protocolErrorsCodesById } from '@platformatic/kafka';
import { CdcError, type ErrorCode } from '../../core/errors.ts';

/** Error codes of Kafka's protocol that are told apart here (Kafka docs, "Error Codes"). */
export const KafkaError = {
  none: 0,
  offsetOutOfRange: 1,
  unknownTopicOrPartition: 3,
  coordinatorLoadInProgress: 14,
  coordinatorNotAvailable: 15,
  notCoordinator: 16,
  illegalGeneration: 22,
  inconsistentGroupProtocol: 23,
  unknownMemberId: 25,
  rebalanceInProgress: 27,
  unsupportedVersion: 35,
  nonEmptyGroup: 68,
  groupIdNotFound: 69,
  fencedLeaderEpoch: 74,
  memberIdRequired: 79,
  groupMaxSizeReached: 81,
  unknownTopicId: 100,
  inconsistentTopicId: 103,
} as const;

/** What asking again can change: the cluster is on its way to another state. */
const passing: ReadonlySet<number> = new Set([
  3, // UNKNOWN_TOPIC_OR_PARTITION
  5, // LEADER_NOT_AVAILABLE
  6, // NOT_LEADER_OR_FOLLOWER
  7, // REQUEST_TIMED_OUT
  8, // BROKER_NOT_AVAILABLE
  9, // REPLICA_NOT_AVAILABLE
  13, // NETWORK_EXCEPTION
  14, // COORDINATOR_LOAD_IN_PROGRESS
  15, // COORDINATOR_NOT_AVAILABLE
  16, // NOT_COORDINATOR
  56, // KAFKA_STORAGE_ERROR
  74, // FENCED_LEADER_EPOCH
  75, // UNKNOWN_LEADER_EPOCH
  78, // OFFSET_NOT_AVAILABLE
  89, // THROTTLING_QUOTA_EXCEEDED
  100, // UNKNOWN_TOPIC_ID
  103, // INCONSISTENT_TOPIC_ID
]);

const meanings: Record<number, ErrorCode> = {
  1: 'OFFSET_LOST', // OFFSET_OUT_OF_RANGE
  23: 'GROUP_CONFLICT', // INCONSISTENT_GROUP_PROTOCOL
  24: 'GROUP_CONFLICT', // INVALID_GROUP_ID
  29: 'BROKER_PRIVILEGE', // TOPIC_AUTHORIZATION_FAILED
  30: 'BROKER_PRIVILEGE', // GROUP_AUTHORIZATION_FAILED
  31: 'BROKER_PRIVILEGE', // CLUSTER_AUTHORIZATION_FAILED
  33: 'BROKER_AUTH', // UNSUPPORTED_SASL_MECHANISM
  34: 'BROKER_AUTH', // ILLEGAL_SASL_STATE
  35: 'BROKER_VERSION', // UNSUPPORTED_VERSION
  58: 'BROKER_AUTH', // SASL_AUTHENTICATION_FAILED
  68: 'PIPELINE_RUNNING', // NON_EMPTY_GROUP
  81: 'GROUP_CONFLICT', // GROUP_MAX_SIZE_REACHED
};

export function isPassing(kafkaError: number): boolean {
  return passing.has(kafkaError);
}

/** An error code in an answer; `doing` completes "… failed". */
export function brokerError(kafkaError: number, doing: string, detail?: string | null): CdcError {
  const name = protocolErrorsCodesById[kafkaError];
  const known = name === undefined ? undefined : protocolErrors[name];
  const code = meanings[kafkaError] ?? (passing.has(kafkaError) ? 'BROKER_UNREACHABLE' : 'BROKER_PROTOCOL');
  const reason = detail || known?.message || 'an error that is not known';
  return new CdcError(code, `${doing} failed: ${reason} (${name ?? kafkaError})`);
}

/** A connection that could not be made, or broke. */
export function connectionError(error: unknown, address: string): CdcError {
  if (error instanceof CdcError) return error;
  const { code = '', message } = error as NodeJS.ErrnoException;
  // Of several addresses of a name, Node reports each.
  const reason =
    (error instanceof AggregateError && error.errors[0]?.message) || message || code || String(error);
  if (/^ERR_(SSL|TLS)|CERT|^EPROTO$|SIGNATURE/.test(code))
    return new CdcError('BROKER_TLS', `TLS with the Kafka broker at ${address} failed: ${reason}`, {
      cause: error,
    });
  return new CdcError('BROKER_UNREACHABLE', `no connection to the Kafka broker at ${address}: ${reason}`, {
    cause: error,
  });
}
