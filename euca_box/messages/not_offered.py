"""Actions of EC2 that are known and not offered: action -> the sentence with which they are refused.

They are answered with UnsupportedOperation after the signature was checked, whatever their parameters.
"""

_NETWORK = """
    CreateVpc DeleteVpc ModifyVpcAttribute CreateDefaultVpc AssociateVpcCidrBlock DisassociateVpcCidrBlock
    CreateSubnet DeleteSubnet ModifySubnetAttribute CreateDefaultSubnet
    CreateInternetGateway DeleteInternetGateway AttachInternetGateway DetachInternetGateway
    CreateNatGateway DeleteNatGateway
    CreateRouteTable DeleteRouteTable AssociateRouteTable DisassociateRouteTable
    ReplaceRouteTableAssociation CreateRoute DeleteRoute ReplaceRoute
    CreateNetworkAcl DeleteNetworkAcl CreateNetworkAclEntry DeleteNetworkAclEntry ReplaceNetworkAclEntry
    ReplaceNetworkAclAssociation
    CreateDhcpOptions DeleteDhcpOptions AssociateDhcpOptions
    CreateNetworkInterface DeleteNetworkInterface AttachNetworkInterface DetachNetworkInterface
    ModifyNetworkInterfaceAttribute ResetNetworkInterfaceAttribute
    AssignPrivateIpAddresses UnassignPrivateIpAddresses
"""

NOT_OFFERED: dict[str, str] = {
    **{
        action: f"{action} is not supported: there is one default VPC with one subnet for all accounts."
        for action in _NETWORK.split()
    },
    "ModifyAddressAttribute": "ModifyAddressAttribute is not supported: addresses have no DNS record.",
    "ResetAddressAttribute": "ResetAddressAttribute is not supported: addresses have no DNS record.",
    "ModifySecurityGroupRules": (
        "ModifySecurityGroupRules is not supported: revoke the rule and authorize another."
    ),
}
