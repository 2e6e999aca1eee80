"""What EC2 answers about its nouns: one class for each AWS code, with the text AWS sends.

Source: EC2 API reference, error codes. The tree they belong to is in `errors.py`.
"""

from euca_box.model.errors import ClientFault, ServerFault

# Instances


class InvalidInstanceIDNotFound(ClientFault):
    code = "InvalidInstanceID.NotFound"

    def __init__(self, *instance_ids: str) -> None:
        if len(instance_ids) == 1:
            super().__init__(f"The instance ID '{instance_ids[0]}' does not exist")
        else:
            super().__init__(f"The instance IDs '{', '.join(instance_ids)}' do not exist")


class InvalidIDMalformed(ClientFault):
    """`Invalid<Kind>ID.Malformed`: the code depends on the kind of resource that was asked for."""

    def __init__(self, code: str, value: str) -> None:
        super().__init__(f'Invalid id: "{value}"')
        self.code = code  # type: ignore[misc]


class IncorrectInstanceState(ClientFault):
    code = "IncorrectInstanceState"


class InstanceLimitExceeded(ClientFault):
    code = "InstanceLimitExceeded"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"You have requested more instances than your current instance limit of {limit} allows."
        )


class InsufficientInstanceCapacity(ServerFault):
    code = "InsufficientInstanceCapacity"
    http_status = 500


class InvalidUserDataMalformed(ClientFault):
    code = "InvalidUserData.Malformed"


class InvalidBlockDeviceMapping(ClientFault):
    code = "InvalidBlockDeviceMapping"


# Images


class InvalidAMIIDNotFound(ClientFault):
    code = "InvalidAMIID.NotFound"

    def __init__(self, *image_ids: str) -> None:
        if len(image_ids) == 1:
            super().__init__(f"The image id '[{image_ids[0]}]' does not exist")
        else:
            super().__init__(f"The image ids '[{', '.join(image_ids)}]' do not exist")


class InvalidAMIIDUnavailable(ClientFault):
    code = "InvalidAMIID.Unavailable"

    def __init__(self, image_id: str) -> None:
        super().__init__(f"The image ID '{image_id}' is no longer available")


class InvalidAMINameDuplicate(ClientFault):
    code = "InvalidAMIName.Duplicate"

    def __init__(self, name: str, image_id: str) -> None:
        super().__init__(f"AMI name {name} is already in use by AMI {image_id}")


class InvalidAMINameMalformed(ClientFault):
    code = "InvalidAMIName.Malformed"

    def __init__(self) -> None:
        super().__init__(
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
            "'(', ')', '.', '-', '/', '_', ' ', ''', '@', '[' and ']'"
        )


class InvalidAMIAttributeItemValue(ClientFault):
    code = "InvalidAMIAttributeItemValue"

    def __init__(self, value: str, kind: str) -> None:
        super().__init__(f'Invalid attribute item value "{value[:64]}" for {kind} item type.')


class ResourceLimitExceeded(ClientFault):
    code = "ResourceLimitExceeded"


class BundleRefused(ClientFault):
    """What S3 said to a part of a bundle: its code is that of the task."""

    code = "Client.S3Error"

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}" if message else code)


class InvalidManifest(ClientFault):
    """The bytes behind an image location are missing, damaged, or not an image that we accept."""

    code = "InvalidManifest"


# Volumes, snapshots, bundles


class InvalidVolumeNotFound(ClientFault):
    code = "InvalidVolume.NotFound"

    def __init__(self, volume_id: str) -> None:
        super().__init__(f"The volume '{volume_id}' does not exist.")


class VolumeInUse(ClientFault):
    code = "VolumeInUse"

    def __init__(self, volume_id: str, instance_id: str) -> None:
        super().__init__(f"{volume_id} is already attached to an instance: {instance_id}")


class IncorrectVolumeState(ClientFault):
    """EC2 says IncorrectState of a volume, too."""

    code = "IncorrectState"

    def __init__(self, volume_id: str, state: str) -> None:
        super().__init__(f"The volume '{volume_id}' is '{state}'.")


class IncorrectModificationState(ClientFault):
    code = "IncorrectModificationState"


class InvalidAttachmentNotFound(ClientFault):
    code = "InvalidAttachment.NotFound"

    def __init__(self, volume_id: str) -> None:
        super().__init__(f"The volume '{volume_id}' is not attached as it is said in the request.")


class AttachmentLimitExceeded(ClientFault):
    code = "AttachmentLimitExceeded"

    def __init__(self, limit: int) -> None:
        super().__init__(f"An instance has {limit} volumes at most.")


class VolumeLimitExceeded(ClientFault):
    code = "VolumeLimitExceeded"


class InsufficientVolumeCapacity(ServerFault):
    code = "InsufficientVolumeCapacity"
    http_status = 500


class InvalidZoneNotFound(ClientFault):
    code = "InvalidZone.NotFound"

    def __init__(self, zone: str) -> None:
        super().__init__(f"The zone '{zone[:64]}' does not exist.")


class InvalidVolumeZoneMismatch(ClientFault):
    code = "InvalidVolume.ZoneMismatch"

    def __init__(self, volume_id: str, instance_id: str) -> None:
        super().__init__(
            f"The volume '{volume_id}' is not in the same availability zone as instance '{instance_id}'"
        )


class InvalidSnapshotNotFound(ClientFault):
    code = "InvalidSnapshot.NotFound"

    def __init__(self, snapshot_id: str) -> None:
        super().__init__(f"The snapshot '{snapshot_id}' does not exist.")


class InvalidSnapshotInUse(ClientFault):
    code = "InvalidSnapshot.InUse"

    def __init__(self, snapshot_id: str, image_id: str) -> None:
        super().__init__(f"The snapshot {snapshot_id} is currently in use by {image_id}")


class SnapshotLimitExceeded(ClientFault):
    code = "SnapshotLimitExceeded"

    def __init__(self, own: int, limit: int) -> None:
        super().__init__(f"The account has {own} snapshots; {limit} are allowed.")


class InvalidReservedInstancesId(ClientFault):
    code = "InvalidReservedInstancesId"

    def __init__(self, reserved: str) -> None:
        super().__init__(f"The reserved instances ID '{reserved}' does not exist")


class InvalidReservedInstancesOfferingId(ClientFault):
    code = "InvalidReservedInstancesOfferingId"

    def __init__(self, offering: str) -> None:
        super().__init__(f"The reserved instances offering ID '{offering}' does not exist")


class BundlingInProgress(ClientFault):
    code = "BundlingInProgress"

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"The instance '{instance_id}' is being bundled already.")


class InvalidBundleState(ClientFault):
    code = "InvalidState"

    def __init__(self, bundle_id: str, state: str) -> None:
        super().__init__(f"The bundle task '{bundle_id}' is {state}.")


class InvalidBundleIDNotFound(ClientFault):
    code = "InvalidBundleID.NotFound"

    def __init__(self, bundle_id: str) -> None:
        super().__init__(f"The bundle task '{bundle_id}' does not exist.")


# Key pairs


class InvalidKeyPairNotFound(ClientFault):
    code = "InvalidKeyPair.NotFound"

    def __init__(self, *key_names: str) -> None:
        if len(key_names) == 1:
            super().__init__(f"The key pair '{key_names[0]}' does not exist")
        else:
            super().__init__(f"The key pairs '{', '.join(key_names)}' do not exist")


class InvalidKeyPairDuplicate(ClientFault):
    code = "InvalidKeyPair.Duplicate"

    def __init__(self, key_name: str) -> None:
        super().__init__(f"The keypair '{key_name}' already exists.")


class KeyPairLimitExceeded(ClientFault):
    code = "KeyPairLimitExceeded"

    def __init__(self, limit: int) -> None:
        super().__init__(f"You have reached the limit of {limit} key pairs.")


class InvalidKeyFormat(ClientFault):
    code = "InvalidKey.Format"

    def __init__(self) -> None:
        super().__init__("Key is not in valid OpenSSH public key format")


# Security groups


class InvalidGroupNotFound(ClientFault):
    code = "InvalidGroup.NotFound"

    def __init__(self, group: str) -> None:
        super().__init__(f"The security group '{group}' does not exist")


class InvalidGroupDuplicate(ClientFault):
    code = "InvalidGroup.Duplicate"

    def __init__(self, name: str) -> None:
        super().__init__(f"The security group '{name}' already exists")


class InvalidGroupReserved(ClientFault):
    code = "InvalidGroup.Reserved"

    def __init__(self, name: str) -> None:
        super().__init__(f"The security group name '{name}' is reserved")


class CannotDelete(ClientFault):
    code = "CannotDelete"


class DependencyViolation(ClientFault):
    code = "DependencyViolation"

    def __init__(self, resource_id: str) -> None:
        super().__init__(f"resource {resource_id} has a dependent object")


class InvalidPermissionDuplicate(ClientFault):
    code = "InvalidPermission.Duplicate"

    def __init__(self, rule: str) -> None:
        super().__init__(f'the specified rule "{rule}" already exists')


class InvalidPermissionNotFound(ClientFault):
    code = "InvalidPermission.NotFound"

    def __init__(self) -> None:
        super().__init__("The specified rule does not exist in this security group.")


class InvalidSecurityGroupRuleIdNotFound(ClientFault):
    code = "InvalidSecurityGroupRuleId.NotFound"

    def __init__(self, *rule_ids: str) -> None:
        super().__init__(f"The security group rule ID(s) '{', '.join(rule_ids)}' do not exist")


class InvalidPermissionMalformed(ClientFault):
    code = "InvalidPermission.Malformed"


class RulesPerSecurityGroupLimitExceeded(ClientFault):
    code = "RulesPerSecurityGroupLimitExceeded"

    def __init__(self) -> None:
        super().__init__("You have exceeded the number of rules allowed for a security group.")


class SecurityGroupLimitExceeded(ClientFault):
    code = "SecurityGroupLimitExceeded"

    def __init__(self) -> None:
        super().__init__("You have exceeded the number of security groups allowed.")


# Elastic addresses


class InvalidAddressNotFound(ClientFault):
    code = "InvalidAddress.NotFound"

    def __init__(self, *public_ips: str) -> None:
        super().__init__(f"Address '{', '.join(public_ips)}' not found.")


class InvalidAllocationIDNotFound(ClientFault):
    code = "InvalidAllocationID.NotFound"

    def __init__(self, allocation_id: str) -> None:
        super().__init__(f"The allocation ID '{allocation_id}' does not exist")


class InvalidAssociationIDNotFound(ClientFault):
    code = "InvalidAssociationID.NotFound"

    def __init__(self, association_id: str) -> None:
        super().__init__(f"The association ID '{association_id}' does not exist")


class AddressNotYours(ClientFault):
    """AWS says it of every address that the account has not allocated, and so tells nobody who has."""

    code = "AuthFailure"

    def __init__(self, public_ip: str) -> None:
        super().__init__(f"The address '{public_ip}' does not belong to you.")


class AddressLimitExceeded(ClientFault):
    code = "AddressLimitExceeded"

    def __init__(self) -> None:
        super().__init__("The maximum number of addresses has been reached.")


class InsufficientAddressCapacity(ServerFault):
    code = "InsufficientAddressCapacity"
    http_status = 500

    def __init__(self) -> None:
        super().__init__("Insufficient number of addresses available to fulfill the request.")


class InvalidIPAddressInUse(ClientFault):
    code = "InvalidIPAddress.InUse"

    def __init__(self, public_ip: str) -> None:
        super().__init__(f"Address {public_ip} is in use.")


class ResourceAlreadyAssociated(ClientFault):
    code = "Resource.AlreadyAssociated"

    def __init__(self, allocation_id: str, association_id: str) -> None:
        super().__init__(f"resource {allocation_id} is already associated with associate-id {association_id}")


class InvalidInstanceAttributeValue(ClientFault):
    code = "InvalidInstanceAttributeValue"


class InvalidInstanceID(ClientFault):
    code = "InvalidInstanceID"

    def __init__(self, state: str, instance_id: str) -> None:
        super().__init__(f"The {state} instance '{instance_id}' is not in a valid state for this operation.")


# Places


class InvalidInstanceType(ClientFault):
    code = "InvalidInstanceType"

    def __init__(self, *names: str) -> None:
        super().__init__(f"The following supplied instance types do not exist: [{', '.join(names)}]")


class InvalidVpcIDNotFound(ClientFault):
    code = "InvalidVpcID.NotFound"

    def __init__(self, vpc_id: str) -> None:
        super().__init__(f"The vpc ID '{vpc_id}' does not exist")


class InvalidSubnetIDNotFound(ClientFault):
    code = "InvalidSubnetID.NotFound"

    def __init__(self, subnet_id: str) -> None:
        super().__init__(f"The subnet ID '{subnet_id}' does not exist")


class InvalidInternetGatewayIDNotFound(ClientFault):
    code = "InvalidInternetGatewayID.NotFound"

    def __init__(self, gateway_id: str) -> None:
        super().__init__(f"The internetGateway ID '{gateway_id}' does not exist")


class InvalidRouteTableIDNotFound(ClientFault):
    code = "InvalidRouteTableID.NotFound"

    def __init__(self, table_id: str) -> None:
        super().__init__(f"The routeTable ID '{table_id}' does not exist")


class InvalidNetworkAclIDNotFound(ClientFault):
    code = "InvalidNetworkAclID.NotFound"

    def __init__(self, acl_id: str) -> None:
        super().__init__(f"The networkAcl ID '{acl_id}' does not exist")


class InvalidDhcpOptionsIDNotFound(ClientFault):
    code = "InvalidDhcpOptionsID.NotFound"

    def __init__(self, options_id: str) -> None:
        super().__init__(f"The dhcpOption ID '{options_id}' does not exist")


class InvalidNetworkInterfaceIDNotFound(ClientFault):
    code = "InvalidNetworkInterfaceID.NotFound"

    def __init__(self, interface_id: str) -> None:
        super().__init__(f"The networkInterface ID '{interface_id}' does not exist")


# Accounts and users (IAM API reference)


class EntityAlreadyExists(ClientFault):
    code = "EntityAlreadyExists"
    http_status = 409

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} with name {name} already exists.")


class LimitExceeded(ClientFault):
    code = "LimitExceeded"
    http_status = 409


class MalformedCertificate(ClientFault):
    code = "MalformedCertificate"


class DuplicateCertificate(ClientFault):
    code = "DuplicateCertificate"
    http_status = 409

    def __init__(self) -> None:
        super().__init__("The certificate is registered already.")


class NoSuchEntity(ClientFault):
    code = "NoSuchEntity"
    http_status = 404

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"The {kind} with name {name} cannot be found.")
