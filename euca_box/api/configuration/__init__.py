"""What is registered in the cloud, as the administration tools of Eucalyptus ask."""
