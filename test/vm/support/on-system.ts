/** To be imported before anything that opens a lab: labs use the VM's own libvirtd. */
process.env.VIRTSLAD_LAB = 'system';
